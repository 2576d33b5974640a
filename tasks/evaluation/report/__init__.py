"""The page of a run: each module prepares a part of it, and its template shows the part."""
