"""gRPC: the protocol's messages, its service on the models that HTTP serves, the library's server with our limits."""
