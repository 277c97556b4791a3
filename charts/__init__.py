"""The Helm charts that the program installs: which they are (`charts.lock`), and how they get here (`make charts`)."""
