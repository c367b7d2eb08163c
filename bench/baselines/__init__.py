"""What our figures stand beside: the plain ways of doing the same, and the server alone."""
