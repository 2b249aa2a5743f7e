"""HTTP: routes, bodies under caps, and the library's server with limits of ours."""
