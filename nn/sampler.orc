# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later

# Row work of the area resize: u8 or u16 source rows into 16- or 32-bit sums.

.function nn_orc_sum4_u8
.dest 2 acc guint16
.source 1 a guint8
.source 1 b guint8
.source 1 c guint8
.source 1 d guint8
.temp 2 t
.temp 2 s
convubw s, a
convubw t, b
addw s, s, t
convubw t, c
addw s, s, t
convubw t, d
addw acc, s, t

.function nn_orc_set_u8
.dest 2 acc guint16
.source 1 a guint8
convubw acc, a

.function nn_orc_add_u8
.dest 2 acc guint16
.source 1 a guint8
.temp 2 t
convubw t, a
addw acc, acc, t

# t = 256 * acc + first * wf + last * wl; weights 0..256
.function nn_orc_weigh_u8
.dest 4 t guint32
.source 2 acc guint16
.source 1 first guint8
.source 1 last guint8
.param 2 wf
.param 2 wl
.temp 2 w
.temp 4 l
.temp 4 s
convuwl s, acc
shll s, s, 8
convubw w, first
mullw w, w, wf
convuwl l, w
addl s, s, l
convubw w, last
mullw w, w, wl
convuwl l, w
addl t, s, l

.function nn_orc_flush_u8
.dest 4 sum guint32
.source 2 acc guint16
.temp 4 l
convuwl l, acc
addl sum, sum, l

# the same from a 32-bit sum
.function nn_orc_weigh32_u8
.dest 4 t guint32
.source 4 sum guint32
.source 1 first guint8
.source 1 last guint8
.param 2 wf
.param 2 wl
.temp 2 w
.temp 4 l
.temp 4 s
shll s, sum, 8
convubw w, first
mullw w, w, wf
convuwl l, w
addl s, s, l
convubw w, last
mullw w, w, wl
convuwl l, w
addl t, s, l

.function nn_orc_add_u16
.dest 4 sum guint32
.source 2 a guint16
.param 4 shift
.temp 4 l
convuwl l, a
shrul l, l, shift
addl sum, sum, l

.function nn_orc_weigh32_u16
.dest 4 t guint32
.source 4 sum guint32
.source 2 first guint16
.source 2 last guint16
.param 4 shift
.param 4 wf
.param 4 wl
.temp 4 l
.temp 4 s
shll s, sum, 8
convuwl l, first
shrul l, l, shift
mulll l, l, wf
addl s, s, l
convuwl l, last
shrul l, l, shift
mulll l, l, wl
addl t, s, l
