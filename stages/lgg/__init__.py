"""Brain tumour segmentation on the LGG MRI data set."""

import os

# Before torch loads OpenMP. Its threads otherwise spin while they wait, and where others use the cores too, a step of
# training then takes five times as long. The bits are the same.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
