"""What stands behind ``python3 -m course``: set-up, commands, doctor.

``bootstrap`` and ``commands`` use the standard library only: they run before anything is installed.
"""
