"""Brain tumour segmentation on the LGG MRI data set."""
