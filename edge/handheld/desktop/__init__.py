"""A PC, laptop or Linux tablet behind the ports of `edge.handheld.ports`. What it does not have it leaves
out.
"""
