// Whether the entropy-coded data of a JPEG is as long as its picture. libjpeg fills what is missing with grey.

#pragma once

#include <cstddef>
#include <cstdint>

namespace edgevision {

struct JpegScan {
  enum class Verdict {
    whole,    // every MCU was read
    cut,      // the data ends before the picture does
    damaged,  // a code that no table has, or a restart marker out of place
    unknown,  // not a baseline JPEG of one scan, or tables that are missing here: nothing is said about it
  };
  Verdict verdict = Verdict::unknown;
  std::int64_t read = 0;    // MCUs before the data ended or went wrong
  std::int64_t total = 0;   // MCUs of the picture
  std::int64_t across = 0;  // MCUs of a row
};

// Reads the Huffman codes of the first scan of a sequential 8-bit JPEG (ITU-T T.81, SOF0 and SOF1) and counts its MCUs;
// no pixel is made. `data` begins with SOI. Progressive, lossless, arithmetic and several scans are `unknown`.
JpegScan scan_jpeg(const std::uint8_t* data, std::size_t size);

}  // namespace edgevision
