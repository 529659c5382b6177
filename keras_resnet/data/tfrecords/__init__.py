"""Records of images on any file system, each found without reading the others."""
