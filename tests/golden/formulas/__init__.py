"""The papers' formulas in plain loops and float64, written from the texts; nothing here imports the library."""
