"""Prefect flows: when, where and how often the stages run. No machine learning here."""
