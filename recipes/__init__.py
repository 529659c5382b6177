"""The programs. An installation has them as `keras_resnet_recipes`, and the command `keras-resnet` starts them."""
