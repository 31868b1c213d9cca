"""The commands of `hdsl`, as far as they do not fit into `hdsl.cli`."""
