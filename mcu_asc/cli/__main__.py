"""python -m mcu_asc.cli"""

from mcu_asc.cli import main

main()
