"""OTLP/JSON: lines of the objects of the OpenTelemetry SDK, and these objects of lines."""
