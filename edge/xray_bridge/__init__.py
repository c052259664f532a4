"""The X-ray line: the right picture on the right waybill, judged in time, provable for years."""
