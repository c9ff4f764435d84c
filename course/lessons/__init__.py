"""What the chapters teach, as modules: written in the notebooks, imported ever after.

Each module is made of the cells of one chapter that are tagged ``export``, in their order, by
``python3 -m course notebooks``. Change the chapter, not the module.
"""
