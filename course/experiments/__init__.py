"""Small experiments that more than one place needs: notebooks, sliders, tests."""
