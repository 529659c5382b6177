"""Files of pictures: found in folders, turned as they say, examined once for damage."""
