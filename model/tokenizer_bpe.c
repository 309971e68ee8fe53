#error "the lead overwrote your version of this file by accident at 12:06: write yours again from your memory; sorry"
