# Turns files into C: cmake -DROOT=<folder> -DFILES="<a;b/c>" -DOUT=<file.c> -P assets.cmake
# The result defines what http/assets.h declares. A file of an unknown type ends the build, since a
# guessed Content-Type is what browsers refuse scripts and styles for.
cmake_minimum_required(VERSION 3.25)

foreach(argument ROOT FILES OUT)
    if(NOT ${argument})
        message(FATAL_ERROR "assets.cmake: -D${argument}= is missing")
    endif()
endforeach()

set(type_css "text/css; charset=utf-8")
set(type_html "text/html; charset=utf-8")
set(type_ico "image/x-icon")
set(type_js "text/javascript; charset=utf-8")
set(type_json "application/json")
set(type_mjs "text/javascript; charset=utf-8")
set(type_png "image/png")
set(type_svg "image/svg+xml")
set(type_txt "text/plain; charset=utf-8")
set(type_webmanifest "application/manifest+json")
set(type_woff2 "font/woff2")

set(arrays "")
set(table "")
set(number 0)
foreach(file IN LISTS FILES)
    get_filename_component(extension "${file}" LAST_EXT)
    string(REGEX REPLACE "^\\." "" extension "${extension}")
    if(NOT DEFINED type_${extension})
        message(FATAL_ERROR "assets.cmake: ${file}: no Content-Type is known for .${extension}")
    endif()
    if(NOT file MATCHES "^[A-Za-z0-9._/-]+$")
        message(FATAL_ERROR "assets.cmake: ${file}: only A-Z a-z 0-9 . _ - and / may stand in a name")
    endif()
    string(REGEX REPLACE "(^|/)index\\.html$" "\\1" path "/${file}")

    file(READ "${ROOT}/${file}" hex HEX)
    file(SHA256 "${ROOT}/${file}" hash)
    file(SIZE "${ROOT}/${file}" size)
    string(SUBSTRING "${hash}" 0 32 etag)
    # Thirty-two bytes a line, then "0x" before each: two passes over the text, however large it is.
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    string(REPEAT "." 160 line)
    string(REGEX REPLACE "(${line})" "    \\1\n" bytes "${bytes}")
    # The zero behind the last byte is not counted: C has no arrays of no elements.
    string(APPEND arrays "/* ${file} */\nstatic const unsigned char asset_${number}[] = {\n${bytes}0};\n\n")
    string(APPEND table "    {\"${path}\", \"${type_${extension}}\", \"\\\"${etag}\\\"\", asset_${number}, ${size}},\n")
    math(EXPR number "${number} + 1")
endforeach()

file(WRITE "${OUT}" "/* Made by src/http/assets.cmake from web/static: do not edit. */\n"
     "#include \"http/assets.h\"\n\n${arrays}const struct asset http_assets[] = {\n${table}};\n"
     "const size_t http_asset_count = ${number};\n")
