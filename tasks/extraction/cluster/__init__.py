"""Extraction on a Dask cluster."""
