"""Folders of pictures."""

from picture_folders import array_split, noise, pictures, write_pictures

__all__ = ["array_split", "noise", "pictures", "write_pictures"]
