"""Reads the files that source systems deliver, in batches: CSV, XLSX, JSON, JSON lines, XML, Parquet."""
