"""How good the U-Net is: metrics per slice, patient and institution, and the figures."""
