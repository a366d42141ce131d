"""Transport between pictures. Files are read with Pillow, which is optional: ``pip install sklearn-ot[vision]``."""

from sklearn_ot.base import publish
from sklearn_ot.vision._color_transfer import ColorTransfer
from sklearn_ot.vision._report import TranslationReport
from sklearn_ot.vision._translator import ImageTranslator

__all__ = ["ColorTransfer", "ImageTranslator", "TranslationReport"]

publish(__name__)
