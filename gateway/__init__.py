"""A data-access gateway between outside agencies and a city's arrest database."""

from importlib.metadata import version

__version__ = version("arrest-gateway")
