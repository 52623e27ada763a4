"""HTTP requests as events, and what functions answer as HTTP responses. Pure: no sockets, no clock."""
