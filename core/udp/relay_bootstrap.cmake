# cmake -DINPUT=tunproxy_relay.py -DOUTPUT=program.cc -DPROGRAM=program.py -P relay_bootstrap.cmake
# Makes the Python helper smaller and writes it as a C++ array: no comments, docstrings and empty lines, one
# blank a level, none around signs, short names. The source follows the rules that this needs (they stand at its
# top). The first line of the result says how long it is, in five digits.
function(shorten name short)
  foreach(round 1 2)  # a match takes the signs around it, and the next name may need them
    string(REGEX REPLACE "([^A-Za-z0-9_])${name}([^A-Za-z0-9_])" "\\1${short}\\2" text "${text}")
  endforeach()
  set(text "${text}" PARENT_SCOPE)
endfunction()

file(READ "${INPUT}" text)
string(REGEX REPLACE "\"\"\"[^\"]*\"\"\"" "" text "\n${text}")
string(REGEX REPLACE "\n[ ]*#[^\n]*" "" text "${text}")
string(REGEX REPLACE "\n[ ]*\n+" "\n" text "\n${text}")
string(REGEX REPLACE "(\n[ ]*\n)+" "\n" text "${text}")
string(REGEX REPLACE "\n+" "\n" text "${text}")
string(REPLACE "    " " " text "${text}")
string(REPLACE "\nimport " "," text "${text}")
string(REGEX REPLACE "^,|\n," "import " text "${text}")
foreach(sign = == != < > <= >= + - * / & | << >> += -=)
  string(REPLACE " ${sign} " "${sign}" text "${text}")
endforeach()
string(REPLACE ", " "," text "${text}")
set(letters A B C D E F G H I J K L M N O P Q R S T U V W X Y Z)
foreach(name self Malformed connection body host answer waiting number options datagrams family kind questions error
        count port buffer failure servers words)
  list(POP_FRONT letters letter)
  shorten(${name} ${letter})
endforeach()
string(STRIP "${text}" text)
set(text "${text}\n")

string(LENGTH "${text}" length)
math(EXPR length "${length} + 22")  # and the first line
string(LENGTH "${length}" digits)
math(EXPR missing "5 - ${digits}")
string(REPEAT "0" ${missing} zeros)
file(WRITE "${PROGRAM}" "#tunproxy-relay ${zeros}${length}\n${text}")
file(SIZE "${PROGRAM}" size)
if(NOT size EQUAL length OR size GREATER 16383)
  message(FATAL_ERROR "the Python relay has ${size} bytes (expected ${length}, at most 16383)")
endif()

file(READ "${PROGRAM}" bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
file(WRITE "${OUTPUT}" "#include \"core/udp/relay_bootstrap_program.h\"\n
namespace tunproxy::udp {
const uint8_t kRelayProgram[] = {\n${bytes}};
const size_t kRelayProgramSize = sizeof kRelayProgram;
}  // namespace tunproxy::udp\n")
