"""Reports: figures, charts, exports, report e-mails."""
