/* Included first by what takes the time.  Arduino's cores compile everything with -Os. */
#ifndef ASC_FASTER_H
#define ASC_FASTER_H
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")
#endif
#endif
