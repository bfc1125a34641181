"""Wire formats: a profile describes one as data, one engine renders them all."""
