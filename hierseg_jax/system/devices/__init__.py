"""How steps are compiled and spread over devices and hosts.

May import: system.
"""
