"""Who comes to the portal in these tests, and whose portal it is."""

PASSWORD = "a password for tests"
MERCHANT, EMPTY = "northwind", "newcomer"
OWNER_ADDRESS = "ann@northwind.example"
OWNER, VIEWER, OPERATOR = "ann", "victor", "operator"
