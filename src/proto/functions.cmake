# Turns deploy/sluice.lua into C: cmake -DFILE=<file.lua> -DOUT=<file.c> -P functions.cmake
# The result defines what proto/functions.h declares. Only ASCII may stand in the text, since `char`
# has a sign on some machines.
cmake_minimum_required(VERSION 3.25)

foreach(argument FILE OUT)
    if(NOT ${argument})
        message(FATAL_ERROR "functions.cmake: -D${argument}= is missing")
    endif()
endforeach()

file(READ "${FILE}" hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
if(bytes MATCHES "0x([89a-f][0-9a-f]|00),")
    message(FATAL_ERROR "functions.cmake: ${FILE} has a byte that is no ASCII text")
endif()
string(REPEAT "." 160 line)
string(REGEX REPLACE "(${line})" "    \\1\n" bytes "${bytes}")
file(WRITE "${OUT}" "/* Made by src/proto/functions.cmake from deploy/sluice.lua: do not edit. */\n"
     "#include \"proto/functions.h\"\n\nconst char sluice_functions[] = {\n${bytes}0};\n")
