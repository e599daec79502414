"""What all commands share: options, the one place that prints, and the settings of the process."""
