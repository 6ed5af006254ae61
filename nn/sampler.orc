# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later

# Rows to one row of means: see nn/sampler-kernels.h. Samples of 8 bits, or of 10 in 16.

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

.function nn_orc_add4_u8
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
addw s, s, t
addw acc, acc, s

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

# dst = (acc << up) * wa + first * wf + last * wl + bias, upper halves of the products
.function nn_orc_weigh_u8
.dest 2 dst gint16
.source 2 acc guint16
.source 1 first guint8
.source 1 last guint8
.param 4 up
.param 2 wa
.param 2 wf
.param 2 wl
.param 2 bias
.temp 2 s
.temp 2 t
shlw s, acc, up
mulhuw s, s, wa
convubw t, first
shlw t, t, 8
mulhuw t, t, wf
addw s, s, t
convubw t, last
shlw t, t, 8
mulhuw t, t, wl
addw s, s, t
addw dst, s, bias

.function nn_orc_set_u10
.dest 2 acc guint16
.source 2 a guint16
.param 4 down
.temp 2 t
shruw t, a, down
andw acc, t, 1023

.function nn_orc_add_u10
.dest 2 acc guint16
.source 2 a guint16
.param 4 down
.temp 2 t
shruw t, a, down
andw t, t, 1023
addw acc, acc, t

.function nn_orc_weigh_u10
.dest 2 dst gint16
.source 2 acc guint16
.source 2 first guint16
.source 2 last guint16
.param 4 up
.param 2 wa
.param 2 wf
.param 2 wl
.param 2 bias
.param 4 down
.temp 2 s
.temp 2 t
shlw s, acc, up
mulhuw s, s, wa
shruw t, first, down
andw t, t, 1023
shlw t, t, 6
mulhuw t, t, wf
addw s, s, t
shruw t, last, down
andw t, t, 1023
shlw t, t, 6
mulhuw t, t, wl
addw s, s, t
addw dst, s, bias
