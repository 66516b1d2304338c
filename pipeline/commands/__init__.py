"""The subcommands of `rootstock`, by what they are about; each module adds its own."""
