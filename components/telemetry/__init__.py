"""Recoveries as traces and metrics of OpenTelemetry: failovers, switchovers and drills, where a collector is named."""
