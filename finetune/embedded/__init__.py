"""Training data of the tiny embedded model: word problems with plans, code and executed output."""
