"""The U-Net: the network and the parts of its training."""
