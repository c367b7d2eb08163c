"""What the tests share: real servers, small fakes."""
