"""Transport between pictures. Files are read with Pillow, which is optional: ``pip install sklearn-ot[vision]``."""

from sklearn_ot.vision._color_transfer import ColorTransfer

__all__ = ["ColorTransfer"]
