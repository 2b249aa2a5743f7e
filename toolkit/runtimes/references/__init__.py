"""What engines are compared with: a file's own graph, evaluated as the standard words it."""
