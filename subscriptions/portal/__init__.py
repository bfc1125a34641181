"""The merchant portal: the pages of merchants' own people. Those that show deliveries are in deliveries.portal."""
