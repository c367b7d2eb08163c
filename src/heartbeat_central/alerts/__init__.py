"""Alert plugins: code that can deliver to one kind of destination."""
