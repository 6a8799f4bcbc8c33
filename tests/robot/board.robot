*** Comments ***
A built project in Renode, by Renode's own test runner:

    renode-test tests/robot/board.robot --variable PROJECT:$PWD/demo/nano33 --variable ASC:mcu-asc

PROJECT  a project that mcu-asc build wrote for nano33
ASC      the program mcu-asc
DATA     data set to score, without files of its own; CLIPS of them

*** Settings ***
Library         Process

*** Variables ***
${ASC}          mcu-asc
${DATA}         scenes
${CLIPS}        10
${PORT}         3457
# one HELLO, filled up to the cell's 64 bytes; the answer names the board
@{HELLO}
...               00  04  01  01  01  01  01  05  d3  3c  42  ff  00  00  00  00
...               00  00  00  00  00  00  00  00  00  00  00  00  00  00  00  00
...               00  00  00  00  00  00  00  00  00  00  00  00  00  00  00  00
...               00  00  00  00  00  00  00  00  00  00  00  00  00  00  00  00
${NAME}         6e 61 6e 6f 33 33

*** Keywords ***
Boot
    Execute Command         $port=${PORT}
    Execute Command         include @${PROJECT}/renode.resc

*** Test Cases ***
Should Say Who It Is
    Boot
    Create Terminal Tester  sysbus.uart0  timeout=10  binaryMode=true
    Sleep                   1s
    FOR  ${byte}  IN  @{HELLO}
        Execute Command     sysbus.uart0 WriteChar 0x${byte}
    END
    Wait For Bytes On Uart  ${NAME}

Should Score As The Host Does
    Boot
    ${done}=  Run Process   ${ASC}  score  ${PROJECT}  --on  socket://127.0.0.1:${PORT}
    ...                     --data  ${DATA}  --folds  4  --limit  ${CLIPS}  timeout=20min
    Log                     ${done.stdout}${done.stderr}
    Should Be Equal As Integers  ${done.rc}  0
    Should Contain          ${done.stdout}  (100 %) equal in every logit byte
