"""How data sets lie on a disk: IDX, NPZ, folders of images, and what they come packed in."""
