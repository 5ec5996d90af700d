"""This project's own flows: the whole pipeline by hand or every night, its data versions, and a look for newer data."""
