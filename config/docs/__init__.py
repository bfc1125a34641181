"""The pages of docs/ that are made from the code: settings, commands, and the tables of the API's page."""
