"""From the click journals into the cells of statistics, exactly once; see `wiring.py`."""
